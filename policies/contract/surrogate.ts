/** A small network that gives one score for each KV head from what a layer's attention reads. */
export interface SurrogateLayer {
  /** A layer in between, with GELU behind it; absent where the network is linear. */
  readonly inner?: Dense;
  /** Gives the scores. */
  readonly output: Dense;
}

/** `W · x + b`. */
export interface Dense {
  /** `[out, in]`, row-major. */
  readonly weight: Float32Array;
  /** `[out]`. */
  readonly bias: Float32Array;
}
