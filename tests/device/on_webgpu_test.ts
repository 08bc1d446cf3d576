import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { probed, softwareVulkan } from "../_vulkan.ts";

const ENGINE = "../runtime/engine/device";
const LONGEST = "goldens_test.ts";

/**
 * Tests of what runs on a device; by themselves they run its graphs on the processor. Two processes take
 * half of the time each.
 */
const HALVES = [
  [`${ENGINE}/${LONGEST}`, "../kernels/device", "../runtime/cache/device"],
  [...Deno.readDirSync(new URL(ENGINE, import.meta.url))]
    .flatMap(({ name }) =>
      name.endsWith("_test.ts") && name !== LONGEST ? [`${ENGINE}/${name}`] : []
    ),
];

const webgpu = (await probed()).find(({ provider }) => provider === "webgpu");
const again = Deno.env.get("KVJUDGE_TEST_DEVICE") !== undefined;

// A process of its own: a driver that crashes takes no other test with it.
Deno.test({
  name: "webgpu: all tests of devices hold on a GPU, or a software one" +
    (webgpu?.works ? "" : ` (skipped: ${webgpu?.missing})`),
  ignore: again || !webgpu?.works,
  async fn() {
    const ended = await Promise.all(HALVES.map(async (paths) => {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "test",
          "-A",
          "--no-check",
          "--quiet",
          ...paths.map((path) => fileURLToPath(new URL(path, import.meta.url))),
        ],
        env: { ...softwareVulkan(), KVJUDGE_TEST_DEVICE: "webgpu", NO_COLOR: "1" },
        stdout: "piped",
        stderr: "piped",
      }).output();
      const text = new TextDecoder();
      return { code, said: `${text.decode(stdout)}\n${text.decode(stderr)}` };
    }));
    for (const { code, said } of ended) {
      assertEquals(code, 0, said);
      const passed = Number(/(\d+) passed/.exec(said)?.[1] ?? 0);
      console.log(`${passed} tests on webgpu`);
      assert(passed > 10, said);
    }
  },
});
