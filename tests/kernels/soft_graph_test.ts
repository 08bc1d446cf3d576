import { assert } from "@std/assert";
import { createSoftKernel } from "../../kernels/soft_kernel.ts";
import { assertClose } from "../_close.ts";
import { fixture, TINY } from "../_test_model.ts";
import { describe, goldenStep, relativeError } from "./_soft_case.ts";

for (const name of TINY) {
  Deno.test(`buildSoftGraph() gives the golden attention, loss and gradient of ${name}`, async () => {
    await using described = await describe(fixture(name));
    const golden = goldenStep(name, described);
    const { tokens } = golden;
    await using kernel = await createSoftKernel(described.model, {
      tokens,
      judged: [0, 1, 2],
      loss: "mse",
      threads: 1,
    });
    const step = await kernel.run({ ...golden.inputs, attention: true });
    assertClose(step.attention, golden.attention, { absolute: 1e-5 }, "attention");
    assertClose([step.loss], [golden.loss], { relative: 1e-4 }, "loss");
    const error = relativeError(step.gradient, golden.gradient);
    assert(error <= 1e-3, `gradient: relative error ${error}`);
  });
}
