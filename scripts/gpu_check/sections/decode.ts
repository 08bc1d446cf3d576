import { fileURLToPath } from "node:url";
import { checkpointPath, describeModel } from "../open_model.ts";
import type { Section } from "../section.ts";
import { TRIALS } from "../trials.ts";

/** Seconds for one trial. */
const TRIAL = 30;

/** Times decoding steps that are started in different ways, each in a fresh process. */
export const decode: Section = {
  name: "decode",
  seconds: 160,
  least: 15,
  async run(check, report) {
    // Conversion is not to be counted in the first trial.
    await describeModel(check, await checkpointPath(check));
    for (const { name, format } of TRIALS) {
      // Nor is writing the checkpoint.
      if (format !== undefined) await checkpointPath(check, format);
      const module = fileURLToPath(new URL("../decode_trial.ts", import.meta.url));
      // In the foreground, or it would leave the group of processes that is ended with the section.
      const { code, signal } = await new Deno.Command("timeout", {
        args: [
          ...["--foreground", "-s", "KILL", String(TRIAL), Deno.execPath()],
          ...["run", "-A", "--no-check", "--quiet", module, JSON.stringify(check), name],
        ],
        stdin: "null",
      }).output().then(({ stdout, ...end }) => {
        Deno.stdout.writeSync(stdout);
        return end;
      });
      if (code !== 0) report(name, { "ended by": signal ?? code });
    }
  },
};
