import { assert, assertEquals, assertRejects } from "@std/assert";
import type { AdapterShape } from "../../../kernels/adapters.ts";
import type { StepKernel } from "../../../kernels/step.ts";
import { adaptedKernels } from "../../../runtime/soft_tokens/adapted_kernels.ts";

const SHAPE: AdapterShape = { rank: 2, projections: ["q", "v"] };

function fakeKernels() {
  const log: string[] = [];
  const create = ({ rank, projections }: AdapterShape): Promise<StepKernel> => {
    const name = `${rank} ${projections.join("")}`;
    log.push(`make ${name}`);
    return Promise.resolve({
      run: () => Promise.reject(new Error("does not run")),
      [Symbol.asyncDispose]: () => Promise.resolve(void log.push(`free ${name}`)),
    });
  };
  return { log, create };
}

Deno.test("adaptedKernels() makes one kernel for each shape, once for all that ask at a time", async () => {
  const { log, create } = fakeKernels();
  {
    await using kernels = adaptedKernels(create);
    assertEquals(log, []);
    const [one, two, other] = await Promise.all([
      kernels.kernel(SHAPE),
      kernels.kernel({ ...SHAPE, projections: ["q", "v"] }),
      kernels.kernel({ ...SHAPE, rank: 4 }),
    ]);
    assert(one === two && one !== other);
    assert(await kernels.kernel(SHAPE) === one);
    assertEquals(log, ["make 2 qv", "make 4 qv"]);
  }
  assertEquals(log.slice(2), ["free 2 qv", "free 4 qv"]);
});

Deno.test("adaptedKernels() tries again after a failure, and frees what was made", async () => {
  const { log, create } = fakeKernels();
  let fails = true;
  const kernels = adaptedKernels((shape) =>
    fails ? Promise.reject(new Error("no memory")) : create(shape)
  );
  await assertRejects(() => kernels.kernel(SHAPE), Error, "no memory");
  fails = false;
  await kernels.kernel(SHAPE);
  fails = true;
  const failing = kernels.kernel({ ...SHAPE, rank: 8 });
  await kernels[Symbol.asyncDispose]();
  await assertRejects(() => failing, Error, "no memory");
  assertEquals(log, ["make 2 qv", "free 2 qv"]);
});
