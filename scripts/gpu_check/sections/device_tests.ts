import { fileURLToPath } from "node:url";
import type { Section } from "../section.ts";

const root = new URL("../../../tests/", import.meta.url);

function testsOf(name: string, paths: readonly string[], seconds: number): Section {
  return {
    name,
    seconds,
    least: 20,
    async run(options, report) {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["test", "-A", "--no-check", "--quiet", "--no-prompt"],
          ...paths.map((path) => fileURLToPath(new URL(path, root))),
        ],
        env: {
          ...(options.device === "webgpu" ? { KVJUDGE_TEST_DEVICE: "webgpu" } : {}),
          NO_COLOR: "1",
        },
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).output();
      const text = new TextDecoder();
      const said = `${text.decode(stdout)}\n${text.decode(stderr)}`;
      const count = (what: string) => Number(new RegExp(`(\\d+) ${what}`).exec(said)?.[1] ?? 0);
      const [passed, failed] = [count("passed"), count("failed")];
      report("tests", { passed, failed, ignored: count("ignored") }, code === 0 && passed > 0);
      if (code === 0) return;
      console.log(said);
      for (const [, test = ""] of said.matchAll(/^(.+) \.\.\. FAILED/gm)) {
        report(test.slice(0, 120), { failed: true }, false);
      }
    },
  };
}

export const deviceTests = testsOf(
  "tests",
  ["kernels/device", "runtime/cache/device", "runtime/engine/device/invariants_test.ts"],
  120,
);

export const engineTests = testsOf("engine-tests", ["runtime/engine/device"], 200);
