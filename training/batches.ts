import { createPrng } from "../policies/_random.ts";

/**
 * The examples of one optimiser step, as indices. Every epoch visits each example once, in an order of
 * its own; a step depends on nothing but its number, so a resumed run needs no memory of the order.
 *
 * @param step From 0.
 */
export function batchOf(step: number, batch: number, examples: number, seed: number): number[] {
  return Array.from({ length: batch }, (_, index) => {
    const visit = step * batch + index;
    const epoch = Math.floor(visit / examples);
    return orderOf(epoch, examples, seed)[visit % examples] ?? 0;
  });
}

function orderOf(epoch: number, examples: number, seed: number): number[] {
  const random = createPrng(seed, epoch);
  const order = Array.from({ length: examples }, (_, index) => index);
  for (let last = examples - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    const [a = 0, b = 0] = [order[last], order[other]];
    [order[last], order[other]] = [b, a];
  }
  return order;
}
