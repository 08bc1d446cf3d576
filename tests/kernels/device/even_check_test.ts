import { assert, assertEquals } from "@std/assert";
import type { Device } from "../../../kernels/device/device.ts";
import { checkEvenAttention, FEW } from "../../../kernels/device/even_check.ts";
import { testDevice } from "../../_device.ts";

const SHAPE = { heads: 4, kvHeads: 2, headDim: 16, attentionScale: 0.25 };

/** A device whose graphs give other numbers for steps of as many tokens as are named. */
function wrongFrom(
  { capture: _, ...device }: Device,
  isWrong: (tokens: number) => boolean,
): Device {
  return {
    ...device,
    async load(graph, options) {
      const kernel = await device.load(graph, options);
      return {
        async run(feeds, given) {
          const outputs = await kernel.run(feeds, given);
          return {
            ...outputs,
            floats: (name) =>
              outputs.floats(name).map((value) =>
                isWrong(feeds.queries?.dims[1] ?? 0) ? value + 1 : value
              ),
          };
        },
        [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
      };
    },
  };
}

Deno.test("checkEvenAttention() tells few tokens from many, and trusts no device that is wrong", async () => {
  await using device = testDevice();
  const honest = await checkEvenAttention(device, SHAPE, "float32");
  assert(honest.few, "steps of one token are right on every device that we know");
  const many = await checkEvenAttention(wrongFrom(device, (n) => n >= FEW), SHAPE, "float32");
  assertEquals([many.few, many.many], [true, false]);
  const all = await checkEvenAttention(wrongFrom(device, () => true), SHAPE, "float32");
  assertEquals(all, { few: false, many: false, captured: false, ignoresLastIndex: false });
});

Deno.test("checkEvenAttention() takes an operator that cannot run for a wrong one", async () => {
  await using device = testDevice();
  const fails = { load: () => Promise.reject(new Error("no such operator")) };
  const failing: Device = {
    ...device,
    ...fails,
    ...device.capture ? { capture: { ...device.capture, ...fails } } : {},
  };
  const support = await checkEvenAttention(failing, SHAPE, "float32");
  assertEquals(support, { few: false, many: false, captured: false, ignoresLastIndex: false });
});
