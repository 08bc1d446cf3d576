import { assert, assertEquals } from "@std/assert";
import {
  adaKv,
  chunkKv,
  compose,
  criticalKv,
  graphKv,
  judgeQ,
  knorm,
  lookaheadKv,
  merge,
  perLayer,
  pyramid,
  rerotate,
  restoreKv,
  snapKv,
  whileDecoding,
  whileReading,
} from "../../../../policies/mod.ts";
import { expression } from "../../../../policies/_expression.ts";
import type { Session } from "../../../../runtime/session/session.ts";
import { testProvider } from "../../../_device.ts";
import { twinModel } from "../../../_device_model.ts";
import { randomIds } from "../../../_test_model.ts";

const inner = judgeQ({ window: 4, draft: 2 });

/** Judges whose heads share a layer's budget, by themselves and in every wrapper. */
const POLICIES = [
  inner,
  whileReading({ inner, every: 10, keep: 20 }),
  judgeQ({ window: 4, draft: 0 }),
  lookaheadKv({ window: 4 }),
  whileDecoding({ inner, every: 4 }),
  whileReading({ inner: whileDecoding({ inner, every: 5 }), every: 16 }),
  rerotate({ inner: whileDecoding({ inner, every: 4 }) }),
  graphKv({ inner, rounds: 1 }),
  merge({ inner }),
  perLayer({ inner, weights: [2, 1] }),
  pyramid({ inner }),
  restoreKv({ inner }),
  compose({ inner: knorm(), second: inner }),
  compose({ inner, second: snapKv({ window: 4 }) }),
  ...[adaKv, chunkKv, criticalKv].map((wrapper) => wrapper({ inner })),
];

/** Shaders are compiled anew for each kind of shape: a software device gets fewer. */
const tried = testProvider() === "webgpu" ? POLICIES.slice(0, 1) : POLICIES;

for (const policy of tried) {
  Deno.test(`on a device, a chat with ${expression(policy)} goes as in main memory`, async () => {
    await using twin = await twinModel("tiny-llama31");
    const { vocabulary } = twin.host.model.config;
    const [first, second] = [randomIds(40, vocabulary, 1), randomIds(15, vocabulary, 2)];
    const folder = await Deno.makeTempDir();
    const path = `${folder}/cache.safetensors`;
    const generated = async (session: Session) => {
      const generation = session.generate({ maxTokens: 9 });
      for await (const _ of generation);
      return [...generation.ids];
    };
    const work = async (session: Session) => {
      const { kept } = await session.read({ ids: first });
      using mark = await session.mark();
      const answer = await generated(session);
      const { kept: keptLater } = await session.append({ ids: second });
      await using fork = await session.fork();
      await session.save(path);
      const more = await generated(session);
      assertEquals(await generated(fork), more, "a fork");
      await fork.load(path);
      assertEquals(await generated(fork), more, "a saved cache");
      await session.rollback(mark);
      assertEquals(await generated(session), answer, "a mark");
      return { kept, keptLater, answer, more, held: session.stats().held };
    };
    try {
      await using host = twin.host.model.session({ policy, budget: 16 });
      await using device = twin.session({ policy, budget: 16 });
      const [here, there] = [await work(host), await work(device)];
      assertEquals(there, here);
      assert(here.kept.flat().some(({ length }) => length < 40));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
