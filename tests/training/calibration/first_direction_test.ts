import { assert, assertEquals } from "@std/assert";
import { firstDirection } from "../../../training/calibration/first_direction.ts";
import { assertClose, noise } from "../../_close.ts";

/** Sum of outer products. */
function productsOf(vectors: readonly (readonly number[])[]): Float64Array {
  const size = vectors[0]?.length ?? 0;
  const products = new Float64Array(size * size);
  for (const vector of vectors) {
    products.forEach((sum, at) => {
      products[at] = sum + (vector[Math.floor(at / size)] ?? 0) * (vector[at % size] ?? 0);
    });
  }
  return products;
}

Deno.test("firstDirection() by hand: vectors on a line point along it, to the side of their mean", () => {
  const vectors = [[3, 4], [6, 8], [-1.5, -2]];
  assertClose(
    firstDirection(productsOf(vectors), Float64Array.of(7.5, 10)),
    [0.6, 0.8],
    { absolute: 1e-6 },
  );
  const other = firstDirection(productsOf(vectors), Float64Array.of(-7.5, -10));
  assertClose(other, [-0.6, -0.8], { absolute: 1e-6 });
});

Deno.test("firstDirection() finds what the mean stands at a right angle to, and stays sound with nothing", () => {
  const found = firstDirection(productsOf([[0, 5], [0, -5], [1, 0]]), Float64Array.of(1, 0));
  assertClose(found.map(Math.abs), [0, 1], { absolute: 1e-5 });
  assertEquals([...firstDirection(new Float64Array(4), new Float64Array(2))], [0, 0]);
});

Deno.test("firstDirection() is an eigenvector, and no other direction reaches further", () => {
  const size = 8;
  const rows = noise(40 * size, 3);
  const vectors = Array.from(
    { length: 40 },
    (_, row) => Array.from(rows.subarray(row * size, (row + 1) * size), (x, i) => x * (i + 1)),
  );
  const products = productsOf(vectors);
  const reach = (direction: ArrayLike<number>) =>
    vectors.reduce((sum, vector) => {
      const along = vector.reduce((total, value, at) => total + value * (direction[at] ?? 0), 0);
      return sum + along * along;
    }, 0);
  const found = firstDirection(products, new Float64Array(size));
  const most = reach(found);
  const image = found.map((_, row) =>
    found.reduce((sum, value, column) => sum + (products[row * size + column] ?? 0) * value, 0)
  );
  assertClose(image, found.map((value) => value * most), { absolute: 1e-4 * most });
  for (let seed = 10; seed < 200; seed++) {
    const other = noise(size, seed);
    const length = Math.hypot(...other);
    assert(reach(other.map((value) => value / length)) <= most + 1e-6);
  }
});
