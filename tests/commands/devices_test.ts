import { assertEquals, assertMatch } from "@std/assert";
import { softwareVulkan } from "../_vulkan.ts";
import { fixture } from "../_test_model.ts";
import { runCli, testFolder, textModel } from "./_run_cli.ts";

Deno.test("kvjudge devices lists every provider with what it can do or lacks", async () => {
  const { code, out, err } = await runCli(["devices"], { env: softwareVulkan() });
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /^cpu {5}works, 16-bit floats\n/);
  assertMatch(out, /^webgpu {2}(works, |Cannot use webgpu: )/m);
  assertMatch(out, /^cuda {4}(works, |Cannot use cuda: )/m);
  assertMatch(out, /\n--device auto takes (cpu|webgpu|cuda): .+\n$/);
});

/** No machine has a driver there. */
const NO_DRIVER = { VK_ICD_FILENAMES: "/nowhere.json" };

for (
  const [command, ...rest] of [["generate", "hi"], ["chat"], ["explain", "hi"], ["eval", "ruler"]]
) {
  Deno.test(`kvjudge ${command} --device refuses what is no device, and one that does not work`, async () => {
    const line = [command ?? "", ...rest, "-m", fixture("tiny-llama"), "--device"];
    const unknown = await runCli([...line, "gpu"]);
    assertEquals([unknown.code, unknown.out], [2, ""]);
    assertMatch(unknown.err, /^error: Option "--device" must be .+"cpu", "auto", "webgpu", "cuda"/);
    const missing = await runCli([...line, "webgpu"], { env: NO_DRIVER });
    assertEquals([missing.code, missing.out], [2, ""]);
    assertMatch(missing.err, /^error: Cannot use webgpu: .+; kvjudge devices lists what works/m);
    assertEquals(missing.err.includes("    at "), false);
  });
}

Deno.test("kvjudge generate --device auto says on which device it runs and why, and --json names it", async () => {
  using folder = testFolder();
  const model = await textModel(folder.path);
  const line = ["generate", "hi", "-m", model, "-n", "2", "--device", "auto", "--json"];
  const { code, out, err } = await runCli(line, {
    env: { ...NO_DRIVER, KVJUDGE_HOME: folder.path },
  });
  assertEquals(code, 0, err);
  assertMatch(err, /running on \w+.*: .+/);
  assertMatch(JSON.parse(out).device, /^(cpu|cuda)$/);
});

Deno.test("kvjudge devices --json prints one array", async () => {
  const { code, out } = await runCli(["devices", "--json"], {
    env: { VK_ICD_FILENAMES: "/nowhere.json" },
  });
  assertEquals(code, 0);
  const reports: { provider: string; works: boolean; missing?: string }[] = JSON.parse(out);
  assertEquals(reports.map(({ provider }) => provider), ["cpu", "webgpu", "cuda"]);
  for (const { works, missing } of reports) assertEquals(missing === undefined, works);
});

Deno.test("kvjudge devices --probe tries one provider in its own process", async () => {
  const { code, out } = await runCli(["devices", "--probe", "cpu"]);
  assertEquals([code, JSON.parse(out)], [0, { works: true, fp16: true }]);
});
