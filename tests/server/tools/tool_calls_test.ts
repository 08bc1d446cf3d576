import { assert, assertEquals } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { createToolCallReader } from "../../../server/tools/tool_calls.ts";

/** What a reader makes of a text that comes in pieces. */
function read(pieces: readonly string[]) {
  const reader = createToolCallReader();
  const parts = [...pieces.map((piece) => reader.push(piece)), reader.end()];
  const calls: { name: string; arguments: string; whole: boolean }[] = [];
  for (const { call, name, arguments: given, whole } of parts.flatMap(({ calls }) => calls)) {
    const known = calls[call];
    assertEquals(name !== undefined, known === undefined, "the first piece has the name");
    assertEquals(known?.whole ?? false, false, "nothing follows a whole call");
    calls[call] = {
      name: known?.name ?? name ?? "",
      arguments: (known?.arguments ?? "") + given,
      whole,
    };
  }
  return { text: parts.map(({ text }) => text).join(""), calls };
}

const CALL = '<tool_call>\n{"name": "a", "arguments": {"x": [1]}}\n</tool_call>';
const CALLED = { name: "a", arguments: '{"x": [1]}', whole: true };

Deno.test("calls are told from the text around them", () => {
  assertEquals(read([CALL]), { text: "", calls: [CALLED] });
  assertEquals(read([`Hm. \n${CALL}\n${CALL}\n`]), { text: "Hm.", calls: [CALLED, CALLED] });
  assertEquals(read(["no < call > here"]), { text: "no < call > here", calls: [] });
  assertEquals(read(["ends in blanks \n"]), { text: "ends in blanks \n", calls: [] });
});

Deno.test("arguments come as they are written, and braces in texts are texts", () => {
  const reader = createToolCallReader();
  const given = JSON.stringify({ text: 'a } " \\ { b', list: [{}, "}"] });
  assertEquals(reader.push('<tool_call>\n{"name": "a", "arguments": ').calls, []);
  const pieces = [...`${given}}\n</tool_call> Done.`].map((piece) => reader.push(piece));
  const parts = pieces.flatMap(({ calls }) => calls);
  assert(parts.length > 20, `${parts.length} pieces`);
  assertEquals(parts.map((part) => part.arguments).join(""), given);
  assertEquals(parts.map(({ whole }) => whole).indexOf(true), parts.length - 1);
  assertEquals([...pieces, reader.end()].map(({ text }) => text).join(""), " Done.");
});

Deno.test("a call without its end counts where its arguments are whole, or began", () => {
  assertEquals(read([CALL.replace("</tool_call>", "")]).calls, [CALLED]);
  const cut = read(['<tool_call>{"name": "a", "arguments": {"x": ']);
  assertEquals(cut, { text: "", calls: [{ name: "a", arguments: '{"x": ', whole: false }] });
  const broken = '<tool_call>{"name": "a", ';
  assertEquals(read([broken]), { text: broken, calls: [] });
  const nonsense = "<tool_call>nonsense</tool_call> and on";
  assertEquals(read([nonsense]), { text: nonsense, calls: [] });
});

Deno.test("arguments may be absent, a text, or called parameters", () => {
  const call = (fields: string) => read([`<tool_call>{"name": "a"${fields}}</tool_call>`]).calls;
  const called = (given: string) => [{ name: "a", arguments: given, whole: true }];
  assertEquals(call(""), called("{}"));
  assertEquals(call(', "arguments": "{\\"x\\":1}"'), called('{"x":1}'));
  assertEquals(call(', "parameters": {"x": 1}'), called('{"x":1}'));
});

Deno.test("it makes no difference where the pieces are cut", () => {
  const text = fc.array(
    fc.constantFrom("<", "<tool_call>", "</tool_call>", CALL, " ", "\n", "x", '{"name": "b"}', "}"),
    { maxLength: 8 },
  ).map((parts) => parts.join(""));
  fc.assert(fc.property(text, fc.array(fc.nat(60), { maxLength: 10 }), (whole, cuts) => {
    const places = [0, ...cuts.filter((cut) => cut < whole.length), whole.length]
      .sort((a, b) => a - b);
    const pieces = places.slice(1).map((place, at) => whole.slice(places[at], place));
    assertEquals(read(pieces), read([whole]));
  }));
});
