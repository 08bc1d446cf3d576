import { emit } from "./finding.ts";
import type { CheckOptions } from "./section.ts";
import { SECTIONS } from "./sections.ts";

if (import.meta.main) {
  const [name = "", options = "{}"] = Deno.args;
  const section = SECTIONS.find((one) => one.name === name);
  if (!section) throw new RangeError(`There is no section '${name}'`);
  const check: CheckOptions = JSON.parse(options);
  await section.run(check, (what, values, pass) => {
    emit({ what, values, ...pass === undefined ? {} : { pass } });
  });
  // Native threads may keep a process alive.
  Deno.exit(0);
}
