import { createHash } from "node:crypto";

/** Name of the digest among a file's metadata. */
export const DIGEST = "sha256";

/**
 * SHA-256, hexadecimal, of the numbers of some tensors as they lie in a file, in this order.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(digestOf([]).slice(0, 8), "e3b0c442");
 * assertEquals(digestOf([Int32Array.of(1)]), digestOf([Uint8Array.of(1, 0), Uint8Array.of(0, 0)]));
 * ```
 */
export function digestOf(tensors: readonly ArrayBufferView[]): string {
  const hash = createHash("sha256");
  for (const { buffer, byteOffset, byteLength } of tensors) {
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest("hex");
}
