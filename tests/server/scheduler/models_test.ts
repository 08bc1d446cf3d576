import { assertEquals, assertRejects } from "@std/assert";
import { ModelLoadError } from "../../../server/scheduler/errors.ts";
import { fixture } from "../../_test_model.ts";
import { idsRequest, outcomeOf, someIds, testScheduler } from "./_test_scheduler.ts";

const MODELS = ["tiny-qwen3", "tiny-qwen2", "tiny-mistral-window"].map((id) => ({
  id,
  source: fixture(id),
}));

Deno.test("models are loaded when they are asked for, and unloaded by need", async () => {
  let now = 1000;
  // Room for one and a half.
  await using test = await testScheduler({
    models: MODELS,
    modelMemory: 700_000,
    now: () => now++,
  });
  const { scheduler, logged } = test;
  const loaded = () => scheduler.models().filter((model) => model.loaded).map(({ id }) => id);
  assertEquals(loaded(), ["tiny-qwen3"]);
  const answers: unknown[] = [];
  for (const { id } of [...MODELS, ...MODELS]) {
    const outcome = await outcomeOf(scheduler, idsRequest(someIds(40), { model: id }));
    answers.push(outcome.answers);
    assertEquals(loaded().at(-1) === id || loaded().includes(id), true);
  }
  assertEquals(answers.slice(0, 3), answers.slice(3));
  assertEquals(logged.some((text) => text.startsWith("unloaded")), true);
  assertEquals(scheduler.models().every(({ facts }) => facts !== undefined), true);
});

Deno.test("requests for two models run at once", async () => {
  await using test = await testScheduler({ models: MODELS });
  const outcomes = await Promise.all(
    MODELS.map(({ id }) => outcomeOf(test.scheduler, idsRequest(someIds(40), { model: id }))),
  );
  assertEquals(outcomes.map(({ answers }) => answers[0]?.length), [8, 8, 8]);
});

Deno.test("a model that cannot be loaded is an error of its requests alone", async () => {
  const models = [...MODELS.slice(0, 1), { id: "broken", source: fixture("README.md") }];
  await using test = await testScheduler({ models });
  const asked = () => outcomeOf(test.scheduler, idsRequest(someIds(9), { model: "broken" }));
  await assertRejects(asked, ModelLoadError, "Cannot load the model 'broken'");
  await assertRejects(asked, ModelLoadError);
  assertEquals((await outcomeOf(test.scheduler, idsRequest(someIds(9)))).answers[0]?.length, 8);
});

Deno.test("prefixes are shared where layers slide, and questions answered the same", async () => {
  const models = MODELS.slice(2);
  await using test = await testScheduler({ models });
  await using fresh = await testScheduler({ models, cacheMemory: 0 });
  const begin = someIds(300);
  await outcomeOf(test.scheduler, idsRequest(begin));
  for (const seed of [1, 2]) {
    const ids = [...begin.slice(0, 256), ...someIds(50, seed)];
    const { answers, done } = await outcomeOf(test.scheduler, idsRequest(ids));
    assertEquals(done.usage.cachedTokens, 256);
    assertEquals(answers, (await outcomeOf(fresh.scheduler, idsRequest(ids))).answers);
  }
});
