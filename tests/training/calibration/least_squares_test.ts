import { assert, assertEquals } from "@std/assert";
import { createPrng } from "../../../policies/_random.ts";
import { linearSums } from "../../../training/calibration/least_squares.ts";
import { assertClose } from "../../_close.ts";

const WIDTH = 3;

/** Products as the kernel makes them. */
function added(rows: Float32Array, values: Float32Array, targets: number) {
  const tokens = rows.length / WIDTH;
  const squares = new Float32Array(WIDTH * WIDTH);
  const products = new Float32Array(WIDTH * targets);
  for (let t = 0; t < tokens; t++) {
    for (let i = 0; i < WIDTH; i++) {
      const x = rows[t * WIDTH + i] ?? 0;
      for (let j = 0; j < WIDTH; j++) {
        squares[i * WIDTH + j] = (squares[i * WIDTH + j] ?? 0) + x * (rows[t * WIDTH + j] ?? 0);
      }
      for (let k = 0; k < targets; k++) {
        products[i * targets + k] = (products[i * targets + k] ?? 0) +
          x * (values[t * targets + k] ?? 0);
      }
    }
  }
  return { squares, products, rows, values };
}

Deno.test("linearSums() finds the linear function that made the targets, over several texts", () => {
  const next = createPrng(4);
  const weight = [2, -1, 0.5, 0, 3, 1];
  const bias = [-4, 0.25];
  const sums = linearSums(WIDTH, 2);
  for (const tokens of [30, 50]) {
    const rows = Float32Array.from({ length: tokens * WIDTH }, () => next() - 0.3);
    const values = new Float32Array(tokens * 2);
    for (let t = 0; t < tokens; t++) {
      for (let k = 0; k < 2; k++) {
        let value = bias[k] ?? 0;
        for (let i = 0; i < WIDTH; i++) {
          value += (weight[k * WIDTH + i] ?? 0) * (rows[t * WIDTH + i] ?? 0);
        }
        values[t * 2 + k] = value;
      }
    }
    sums.add(added(rows, values, 2));
  }
  const fit = sums.solve(0);
  assertClose(fit.weight, weight, { absolute: 1e-4 }, "weight");
  assertClose(fit.bias, bias, { absolute: 1e-4 }, "bias");
  for (const share of sums.explained(fit)) assert(share > 0.9999, `${share}`);
  // The mean alone explains nothing.
  const mean = { weight: new Float32Array(WIDTH * 2), bias: fit.bias };
  assert((sums.explained(mean)[0] ?? 1) < 0.2);
});

Deno.test("linearSums() explains nothing where nothing varies, and holds weights back by its ridge", () => {
  const sums = linearSums(WIDTH, 1);
  const rows = Float32Array.from({ length: 30 }, (_, at) => Math.sin(at));
  sums.add(added(rows, new Float32Array(10).fill(2), 1));
  const fit = sums.solve(1e-3);
  assertEquals(sums.explained(fit), [0]);
  const free = Math.hypot(...sums.solve(1e-6).weight);
  assert(Math.hypot(...sums.solve(10).weight) <= free + 1e-6);
});
