import { assert, assertEquals, assertRejects } from "@std/assert";
import { UnknownDocumentError } from "../../../server/scheduler/errors.ts";
import type { GenerationRequest } from "../../../server/scheduler/request.ts";
import { testFolder } from "../../commands/_run_cli.ts";
import { idsRequest, outcomeOf, someIds, testScheduler } from "../scheduler/_test_scheduler.ts";

const EVICTION = { policy: "snapkv(window=8)", budget: { tokens: 64 } } as const;
const TEXT = someIds(200, 2).join(" ");

function question(document: string): GenerationRequest {
  const { prompt: _, ...request } = idsRequest([]);
  const content = someIds(8, 5).join(" ");
  return { ...request, document, prompt: { kind: "chat", messages: [{ role: "user", content }] } };
}

Deno.test("a document that one server has read is found by others through a store", async () => {
  using folder = testFolder();
  const { path } = folder;
  await Deno.mkdir(`${path}/shared`);
  const open = (name: string) =>
    testScheduler({ cacheFolder: `${path}/${name}`, store: `file://${path}/shared` });
  await using first = await open("first");
  await using second = await open("second");
  const made = await first.scheduler.documents.create({ text: TEXT, eviction: EVICTION });
  const here = await outcomeOf(first.scheduler, question(made.id));
  const there = await outcomeOf(second.scheduler, question(made.id));
  assertEquals(there.answers, here.answers);
  assertEquals(there.done.usage.cachedTokens, 200);
  // Whoever reads it anew elsewhere finds it, and reads nothing.
  await using third = await open("third");
  const before = third.scheduler.stats().promptTokens;
  const found = await third.scheduler.documents.create({ text: TEXT, eviction: EVICTION });
  assertEquals([found.id, found.created, found.stored], [made.id, made.created, true]);
  assertEquals(third.scheduler.stats().promptTokens, before);
  // Deleted at one, it comes to no other any more; those that have it keep theirs.
  await third.scheduler.documents.remove(made.id);
  await using fourth = await open("fourth");
  await assertRejects(
    () => outcomeOf(fourth.scheduler, question(made.id)),
    UnknownDocumentError,
    "There is no document",
  );
  assertEquals(second.scheduler.documents.get(made.id).id, made.id);
  const left = [...Deno.readDirSync(`${path}/shared/names/documents`)];
  assert(left.length === 0, `${left.length} names are left`);
});
