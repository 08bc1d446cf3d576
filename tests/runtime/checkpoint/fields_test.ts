import { assertEquals, assertThrows } from "@std/assert";
import { fieldsOf, named, shown } from "../../../runtime/checkpoint/fields.ts";
import { CheckpointError } from "../../../runtime/errors.ts";

Deno.test("fieldsOf() refuses numbers that only GGUF can hold, naming them", () => {
  const fields = fieldsOf("x.gguf", { layers: 2n ** 63n, ids: [1, 2n ** 60n] });
  assertThrows(
    () => fields.count("layers"),
    CheckpointError,
    'Cannot use x.gguf: "layers" is 9223372036854775808 but must be a whole number of at least 1.',
  );
  assertThrows(() => fields.ids("ids"), CheckpointError, '"ids" is [1,1152921504606846976] but');
});

Deno.test("shown() and named() quote what no text can be made of, and not more than a few words", () => {
  assertEquals(named("llama"), "llama");
  assertEquals(named({ toString: 1 }), '{"toString":1}');
  assertEquals(shown("x".repeat(100)), `"${"x".repeat(59)}…`);
  assertEquals(shown(undefined), "undefined");
});
