import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { probed, softwareVulkan } from "../_vulkan.ts";

/** Tests of what runs on a device; by themselves they run its graphs on the processor. */
const FOLDERS = ["../kernels/device", "../runtime/engine/device", "../runtime/cache/device", "."];

const webgpu = (await probed()).find(({ provider }) => provider === "webgpu");
const again = Deno.env.get("KVJUDGE_TEST_DEVICE") !== undefined;

// A process of its own: a driver that crashes takes no other test with it.
Deno.test({
  name: "webgpu: all tests of devices hold on a GPU, or a software one" +
    (webgpu?.works ? "" : ` (skipped: ${webgpu?.missing})`),
  ignore: again || !webgpu?.works,
  async fn() {
    const folders = FOLDERS.map((folder) => fileURLToPath(new URL(folder, import.meta.url)));
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--no-check", "--quiet", ...folders],
      env: { ...softwareVulkan(), KVJUDGE_TEST_DEVICE: "webgpu", NO_COLOR: "1" },
      stdout: "piped",
      stderr: "piped",
    }).output();
    const text = new TextDecoder();
    const said = text.decode(stdout);
    const passed = Number(/(\d+) passed/.exec(said)?.[1] ?? 0);
    assertEquals(code, 0, `${said}\n${text.decode(stderr)}`);
    assert(passed > 0, said);
  },
});
