/** Saves states without end and says which are done: `_state_writer.ts PATH FIRST_STEP`. */
import { saveState } from "../../training/state.ts";

const [path, first] = Deno.args;
if (path === undefined || first === undefined) throw new Error("give a path and a step");

for (let step = Number(first);; step++) {
  await saveState(path, {
    step,
    settings: "settings",
    tensors: { a: new Float32Array(200_000).fill(step), b: Float32Array.of(step) },
    numbers: { step },
  });
  await Deno.stdout.write(new TextEncoder().encode(`${step}\n`));
}
