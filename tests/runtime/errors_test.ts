import { assert, assertEquals } from "@std/assert";
import { CheckpointError, KvjudgeError } from "../../runtime/errors.ts";

Deno.test("KvjudgeError escapes control characters of a quoted file, but not its own line breaks", () => {
  const { message } = new CheckpointError(
    "Cannot read \u001b[2J\u0007\u007f\u009b: wörld\nuse another",
  );
  assertEquals(message, "Cannot read \\u001b[2J\\u0007\\u007f\\u009b: wörld\nuse another");
});

Deno.test("KvjudgeError cuts the middle of a long message, where the quote is", () => {
  const { message } = new KvjudgeError(`Cannot read "${"x".repeat(10_000)}"; fetch it again`);
  assert(message.length < 1500, `${message.length}`);
  assert(message.startsWith('Cannot read "xxx') && message.endsWith('xxx"; fetch it again'));
});
