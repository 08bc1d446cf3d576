import { assert } from "@std/assert";
import { defaultThreads } from "../../../runtime/device/processor.ts";

Deno.test("defaultThreads() is at least one", () => {
  assert(Number.isInteger(defaultThreads()) && defaultThreads() >= 1);
});
