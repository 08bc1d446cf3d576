import { assertEquals } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { createToolCallReader } from "../../../server/tools/tool_calls.ts";

/** What a reader makes of a text that comes in pieces. */
function read(pieces: readonly string[]) {
  const reader = createToolCallReader();
  const parts = [...pieces.map((piece) => reader.push(piece)), reader.end()];
  return {
    text: parts.map(({ text }) => text).join(""),
    calls: parts.flatMap(({ calls }) => calls),
  };
}

const CALL = '<tool_call>\n{"name": "a", "arguments": {"x": [1]}}\n</tool_call>';
const CALLED = { name: "a", arguments: '{"x":[1]}' };

Deno.test("calls are told from the text around them", () => {
  assertEquals(read([CALL]), { text: "", calls: [CALLED] });
  assertEquals(read([`Hm. \n${CALL}\n${CALL}\n`]), { text: "Hm.", calls: [CALLED, CALLED] });
  assertEquals(read(["no < call > here"]), { text: "no < call > here", calls: [] });
  assertEquals(read(["ends in blanks \n"]), { text: "ends in blanks \n", calls: [] });
});

Deno.test("a call without its end counts where it is whole, and is text where it is not", () => {
  assertEquals(read([CALL.replace("</tool_call>", "")]).calls, [CALLED]);
  const broken = '<tool_call>{"name": "a", ';
  assertEquals(read([broken]), { text: broken, calls: [] });
  const nonsense = "<tool_call>nonsense</tool_call> and on";
  assertEquals(read([nonsense]), { text: nonsense, calls: [] });
});

Deno.test("arguments may be absent, a text, or called parameters", () => {
  const call = (fields: string) => read([`<tool_call>{"name": "a"${fields}}</tool_call>`]).calls;
  assertEquals(call(""), [{ name: "a", arguments: "{}" }]);
  assertEquals(call(', "arguments": "{\\"x\\":1}"'), [{ name: "a", arguments: '{"x":1}' }]);
  assertEquals(call(', "parameters": {"x": 1}'), [{ name: "a", arguments: '{"x":1}' }]);
});

Deno.test("it makes no difference where the pieces are cut", () => {
  const text = fc.array(
    fc.constantFrom("<", "<tool_call>", "</tool_call>", CALL, " ", "\n", "x", '{"name": "b"}'),
    { maxLength: 8 },
  ).map((parts) => parts.join(""));
  fc.assert(fc.property(text, fc.array(fc.nat(60), { maxLength: 10 }), (whole, cuts) => {
    const places = [0, ...cuts.filter((cut) => cut < whole.length), whole.length]
      .sort((a, b) => a - b);
    const pieces = places.slice(1).map((place, at) => whole.slice(places[at], place));
    assertEquals(read(pieces), read([whole]));
  }));
});
