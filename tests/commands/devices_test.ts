import { assertEquals, assertMatch } from "@std/assert";
import { softwareVulkan } from "../_vulkan.ts";
import { runCli } from "./_run_cli.ts";

Deno.test("kvjudge devices lists every provider with what it can do or lacks", async () => {
  const { code, out, err } = await runCli(["devices"], { env: softwareVulkan() });
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /^cpu {5}works, 16-bit floats\n/);
  assertMatch(out, /^webgpu {2}(works, |Cannot use webgpu: )/m);
  assertMatch(out, /^cuda {4}(works, |Cannot use cuda: )/m);
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
