import { assert, assertEquals } from "@std/assert";
import { OptionError } from "../../../policies/policy.ts";
import * as library from "../../../runtime/errors.ts";
import { errorOf, wireError } from "../../../server/engine/errors_on_wire.ts";
import * as scheduling from "../../../server/scheduler/errors.ts";

function travelled(error: Error): Error {
  return errorOf(JSON.parse(JSON.stringify(wireError(error))));
}

Deno.test("every error of the library and of the scheduler arrives as what it was", () => {
  const { OverloadedError, ContextOverflowError, ...plain } = scheduling;
  for (const [name, Made] of Object.entries({ OptionError, ...library, ...plain })) {
    const arrived = travelled(new Made("Cannot go on"));
    assert(arrived instanceof Made, name);
    assertEquals([arrived.name, arrived.message], [name, "Cannot go on"]);
  }
  const overloaded = travelled(new OverloadedError("Full", 7));
  assert(overloaded instanceof OverloadedError);
  assertEquals([overloaded.message, overloaded.retryAfter], ["Full", 7]);
  const overflow = travelled(new ContextOverflowError("Long", 9, 8));
  assert(overflow instanceof ContextOverflowError);
  assertEquals([overflow.message, overflow.promptTokens, overflow.context], ["Long", 9, 8]);
});

Deno.test("a mistake of the program arrives with its stack, one that has no class as its words", () => {
  const mistake = new TypeError("no such thing");
  assertEquals(travelled(mistake).stack, mistake.stack);
  assertEquals(errorOf(wireError("thrown text")).message, "thrown text");
  const aborted = travelled(new DOMException("left", "AbortError"));
  assertEquals([aborted.name, aborted instanceof DOMException], ["AbortError", true]);
});
