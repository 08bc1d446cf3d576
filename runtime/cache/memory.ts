/**
 * Memory that grows in place and goes back to the system when it shrinks.
 *
 * Resizable buffers do both at once, whatever the allocator's habits and without waiting for the
 * garbage collector: address space is set aside, memory is taken only for what is in use. (Fixed
 * buffers that are detached stay with the allocator once the process has freed one of their size.)
 *
 * @module
 */

/** Smallest address space of a buffer, in bytes: short prompts never move. */
const MIN_ADDRESS_SPACE = 1 << 20;

/** Takes zeroed memory that {@linkcode resized} can grow. */
export function allocate(bytes: number): ArrayBuffer {
  return new ArrayBuffer(bytes, { maxByteLength: Math.max(MIN_ADDRESS_SPACE, 2 * bytes) });
}

/**
 * Brings a buffer to another size; the common prefix stays.
 *
 * @returns The same buffer, or where it outgrew its address space a new one; the old one is then
 * released.
 */
export function resized(buffer: ArrayBuffer, bytes: number): ArrayBuffer {
  if (bytes <= buffer.maxByteLength) {
    buffer.resize(bytes);
    return buffer;
  }
  const next = allocate(bytes);
  new Uint8Array(next).set(new Uint8Array(buffer));
  release(buffer);
  return next;
}

/** Gives memory and address space back now. Views of the buffer become empty. */
export function release(buffer: ArrayBuffer): void {
  buffer.transferToFixedLength(0);
}
