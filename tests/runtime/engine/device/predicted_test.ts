import { assertEquals } from "@std/assert";
import { kvZap } from "../../../../policies/kvzap.ts";
import type { Policy } from "../../../../policies/policy.ts";
import { whileDecoding } from "../../../../policies/while_decoding.ts";
import { whileReading } from "../../../../policies/while_reading.ts";
import type { Session } from "../../../../runtime/session/session.ts";
import { assertClose } from "../../../_close.ts";
import { testProvider } from "../../../_device.ts";
import { twinModel } from "../../../_device_model.ts";
import { surrogateFile } from "../../../_surrogate_file.ts";
import { randomIds } from "../../../_test_model.ts";

const MODEL = "tiny-qwen3";
const KINDS = {
  linear: () => false,
  deep: () => true,
  mixed: (layer: number) => layer % 2 === 0,
};

for (const [kind, isDeep] of Object.entries(KINDS)) {
  // A GPU in software takes a minute for each.
  const ignore = testProvider() === "webgpu" && kind !== "mixed";
  Deno.test(`on a device, ${kind} networks predict what they predict in main memory`, {
    ignore,
  }, async () => {
    await using twin = await twinModel(MODEL);
    const { config } = twin.host.model.engine;
    const inner = kvZap({ surrogate: surrogateFile(config, isDeep), window: 4 });
    const [first, second] = [
      randomIds(50, config.vocabulary, 5),
      randomIds(21, config.vocabulary, 6),
    ];
    const policies: readonly Policy[] = [
      inner,
      whileDecoding({ inner, every: 3 }),
      whileReading({ inner, every: 9 }),
    ];
    for (const policy of policies) {
      const options = { policy, budget: 20, chunk: 17 };
      const work = async (session: Session) => {
        const { kept, scores } = await session.read({ ids: first }, { scores: true });
        const generation = session.generate({ maxTokens: 7 });
        for await (const _ of generation);
        const more = await session.append({ ids: second });
        return { scores, told: { kept, ids: [...generation.ids], more: more.kept } };
      };
      await using here = twin.host.model.session(options);
      await using there = twin.session(options);
      const [expected, found] = [await work(here), await work(there)];
      assertEquals(found.told, expected.told, policy.name);
      for (const [layer, scores] of expected.scores.entries()) {
        assertClose(found.scores[layer] ?? [], scores, { absolute: 1e-4 }, `layer ${layer}`);
      }
    }
  });
}

Deno.test(
  "on a device, networks are sent once, and neither what they read nor what they predict crosses",
  {
    ignore: testProvider() === "webgpu",
  },
  async () => {
    await using twin = await twinModel(MODEL);
    const { device } = twin.there;
    const { config } = twin.host.model.engine;
    const { vocabulary } = config;
    const surrogate = surrogateFile(config, KINDS.mixed);
    const policy = whileDecoding({ inner: kvZap({ surrogate, window: 4 }), every: 3 });
    const crossed = async (tokens: number) => {
      const sums: Record<string, number> = {};
      device.onCrossing = ({ kernel, name, direction, bytes }) => {
        if (
          bytes === 0 || /^(even_step|device_step|decode_step|ahead_step|counting)$/.test(kernel)
        ) {
          if (!name.startsWith("layer_inputs")) return;
        }
        const key = `${direction} ${kernel} ${name.replace(/\.\d+$/, "")}`;
        sums[key] = (sums[key] ?? 0) + bytes;
      };
      {
        await using session = twin.session({ policy, budget: 20, chunk: 128 });
        await session.read({ ids: randomIds(tokens, vocabulary, 7) });
      }
      device.onCrossing = undefined;
      return { sums, tensors: device.usage.tensors };
    };
    const [short, long] = [await crossed(50), await crossed(100)];
    const networkNumbers = Object.values(surrogate.tensors)
      .reduce((sum, { data }) => sum + data.length, 0);
    const { "in sent_once numbers": once, ...others } = short.sums;
    assertEquals(once, 4 * networkNumbers);
    assertEquals(long.tensors, short.tensors, "all but the networks was freed");
    // How many tokens each head keeps depends on the text, and with it the indices that come back and go.
    const withoutIndices = (sums: Readonly<Record<string, number>>) =>
      Object.fromEntries(Object.entries(sums).filter(([key]) => !/ (slots|best)$/.test(key)));
    assertEquals(withoutIndices(long.sums), withoutIndices(others));
    assertEquals(Object.keys(long.sums).filter((key) => /rows result|layer_inputs/.test(key)), []);
  },
);
