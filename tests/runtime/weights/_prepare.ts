import { preparedWeights } from "../../../runtime/weights/prepared_file.ts";

/** A program for two processes at once: writes weights slowly and prints them. */
const [path = ""] = Deno.args;
const weights = preparedWeights(path, (writer) => {
  const until = Date.now() + 300;
  while (Date.now() < until);
  return { a: writer.floats(1, 3, [new Float32Array([1, 2, 3])]) };
});
console.log(JSON.stringify(weights));
