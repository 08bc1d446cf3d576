import { assert, assertEquals } from "@std/assert";
import { rotaryRows } from "../../kernels/rope.ts";
import { createSoftKernel } from "../../kernels/soft_kernel.ts";
import { assertClose } from "../_close.ts";
import { fixture, newSequence, TINY, tinyModel, WINDOWED } from "../_test_model.ts";
import { openGolden } from "../runtime/_golden_file.ts";
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

for (const name of WINDOWED) {
  Deno.test(`buildSoftGraph() gives the golden attention, loss and gradient behind the windows of ${name}`, async () => {
    const golden = openGolden(name);
    const { judge_q: { layers: judged = [] } = {}, heads } = golden.settings;
    await using tiny = await tinyModel(name);
    const { engine } = tiny.model;
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    const ids = golden.integers("input_ids");
    await engine.advance(sequence, { ids });
    const held = cache.length(judged[0] ?? 0);
    // What a window has dropped gets no attention: those columns of the golden are zeros, which only
    // make its mean over all columns smaller.
    const seen = (maps: Float32Array) =>
      maps.filter((value, index) => {
        const inside = index % ids.length >= ids.length - held;
        assert(inside || value === 0);
        return inside;
      });
    const share = held / ids.length;
    await using described = await describe(fixture(name));
    const embeddings = golden.floats("judge_q.soft");
    const tokens = embeddings.length / described.model.hidden;
    await using kernel = await createSoftKernel(described.model, {
      tokens,
      judged,
      loss: "mse",
      threads: 1,
    });
    const step = await kernel.run({
      embeddings,
      rotary: described.frequencies.map((ofRope) => rotaryRows(ofRope, ids.length, tokens)),
      past: described.model.layers.map((_, layer) => ({
        keys: cache.keys(layer),
        values: cache.values(layer),
      })),
      target: seen(golden.floats("judge_q.attention_response")),
      attention: true,
    });
    assertEquals(step.attention.length, judged.length * heads * held);
    const expected = seen(golden.floats("judge_q.attention_soft"));
    assertClose(step.attention, expected, { absolute: 1e-5 }, "attention");
    const [loss = NaN] = golden.floats("judge_q.loss");
    assertClose([step.loss * share], [loss], { relative: 1e-3 }, "loss");
    const gradient = step.gradient.map((value) => value * share);
    const error = relativeError(gradient, golden.floats("judge_q.gradient"));
    assert(error <= 1e-3, `gradient: relative error ${error}`);
  });
}
