import { assert, assertEquals } from "@std/assert";
import { full } from "../../../../policies/full.ts";
import { createSession } from "../../../../runtime/session/open.ts";
import { testFolder } from "../../../commands/_run_cli.ts";
import { chatModel, chatTokenizer, TEMPLATES, whole } from "../_chat.ts";

Deno.test("session.load() takes up a conversation of which more is to be read again than is held", async () => {
  await using test = await chatModel();
  using folder = testFolder();
  const path = `${folder.path}/a.cache`;
  const { engine, facts } = test.model;
  const tokenizer = await chatTokenizer(TEMPLATES.wandering);
  const open = () => createSession({ engine, tokenizer, facts, now: () => 0 }, { policy: full() });
  await using session = open();
  await session.append({ messages: [{ role: "user", content: "and more words. " }] });
  // The template writes the first turn otherwise once another follows: nearly all of it was dropped.
  await whole(session.ask("Hi. Hi.", { maxTokens: 8 }));
  const [held = 0] = session.stats().held;
  assert(held > 0 && held < session.ids.length / 2, `${held} of ${session.ids.length}`);
  await session.save(path);
  await using loaded = open();
  await loaded.load(path);
  assertEquals(loaded.ids, session.ids);
  const answers = [loaded, session].map(async (each) =>
    (await whole(each.generate({ maxTokens: 8 }))).ids
  );
  const [one, two] = await Promise.all(answers);
  assertEquals(one, two);
});
