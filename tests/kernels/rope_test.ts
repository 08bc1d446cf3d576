import { assertEquals } from "@std/assert";
import { rotaryRows } from "../../kernels/rope.ts";
import { assertClose } from "../_close.ts";

Deno.test("rotaryRows() gives the cosine and sine of position times frequency", () => {
  const { cos, sin } = rotaryRows(Float32Array.of(1, 0.25), 2, 3);
  const angles = [2, 0.5, 3, 0.75, 4, 1];
  assertClose(cos, angles.map(Math.cos), { absolute: 1e-7 }, "cos");
  assertClose(sin, angles.map(Math.sin), { absolute: 1e-7 }, "sin");
});

Deno.test("rotaryRows() of a run equals the rows of its positions", () => {
  const frequencies = Float32Array.from({ length: 6 }, (_, index) => 10_000 ** (-index / 6));
  const whole = rotaryRows(frequencies, 1000, 7);
  for (const token of [0, 3, 6]) {
    const one = rotaryRows(frequencies, 1000 + token, 1);
    assertEquals(one.cos, whole.cos.slice(token * 6, (token + 1) * 6));
    assertEquals(one.sin, whole.sin.slice(token * 6, (token + 1) * 6));
  }
});

Deno.test("rotaryRows() rounds angles to 32 bits, as transformers does", () => {
  const frequency = Math.fround(0.7);
  const position = 123_457;
  const angle = Math.fround(position * frequency);
  assertEquals(
    rotaryRows(Float32Array.of(frequency), position, 1).cos[0],
    Math.fround(Math.cos(angle)),
  );
});

Deno.test("rotaryRows() of no tokens is empty", () => {
  assertEquals(rotaryRows(Float32Array.of(1), 5, 0), {
    cos: new Float32Array(0),
    sin: new Float32Array(0),
  });
});
