import { assertRejects, assertStringIncludes } from "@std/assert";
import { readHaystack } from "../../commands/eval/_haystack.ts";
import { PromptError } from "../../runtime/errors.ts";

Deno.test("a text or a haystack that is missing is called what its flag calls it", async () => {
  const missing = "/nowhere/missing.txt";
  const said = (what: string) => `Cannot read the ${what} from ${missing}: there is no such file`;
  await assertRejects(() => readHaystack(missing, "text"), PromptError, said("text"));
  await assertRejects(() => readHaystack(missing), PromptError, said("haystack"));
  assertStringIncludes(await readHaystack(undefined, "text"), "Holmes");
});
