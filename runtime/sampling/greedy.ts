/** The token with the highest logit; the lower id where two are equal. */
export function greedyToken(logits: Float32Array): number {
  let best = 0;
  let highest = -Infinity;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] ?? -Infinity;
    if (logit > highest) {
      best = id;
      highest = logit;
    }
  }
  return best;
}
