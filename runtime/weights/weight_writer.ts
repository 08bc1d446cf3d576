import * as fs from "node:fs";
import type { BlockWeight, FloatWeight, Place } from "../../kernels/weight.ts";
import type { Blocks } from "./blocks.ts";

/** Writes weights in the layout that the kernels want, one after the other. */
export interface WeightWriter {
  /**
   * Writes a matrix.
   *
   * @param rows Of the whole matrix.
   * @param pieces Its rows, some at a time, all of the same bits and columns. Only one is held.
   */
  blocks(rows: number, pieces: Iterable<Blocks>): BlockWeight;
  /**
   * Writes a matrix in floats.
   *
   * @param pieces Its rows, some at a time.
   */
  floats(rows: number, columns: number, pieces: Iterable<Float32Array>): FloatWeight;
}

/** Where {@linkcode writerTo} has arrived. */
export interface FileWriter extends WeightWriter {
  /** Bytes of the file so far. */
  readonly bytes: number;
}

// onnxruntime maps external weights into memory; a page boundary keeps the mapping aligned.
const ALIGNMENT = 4096;

/**
 * Writes into an open file.
 *
 * @param path What places are to name.
 */
export function writerTo(file: number, path: string): FileWriter {
  let end = 0;
  const region = (length: number): Region => {
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    end = offset + length;
    let at = offset;
    return {
      place: { file: path, offset, length },
      add(data) {
        const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
        for (let done = 0; done < bytes.length;) {
          done += fs.writeSync(file, bytes, done, bytes.length - done, at + done);
        }
        at += bytes.length;
      },
      check() {
        if (at === offset + length) return;
        throw new RangeError(`Cannot write ${length} bytes of weights: ${at - offset} were given`);
      },
    };
  };
  return {
    get bytes() {
      return end;
    },
    blocks(rows, pieces) {
      let matrix: Matrix | undefined;
      let row = 0;
      for (const piece of pieces) {
        matrix ??= openMatrix(region, piece, rows);
        matrix.values.add(piece.values);
        matrix.scales.add(piece.scales);
        if (piece.zeroPoints) matrix.zeroPoints?.add(piece.zeroPoints);
        if (piece.offsets) matrix.offsets?.add(piece.offsets, row, piece.rows);
        row += piece.rows;
      }
      if (!matrix) throw new TypeError("Cannot write a matrix without rows");
      return matrix.finish();
    },
    floats(rows, columns, pieces) {
      const { place, add, check } = region(rows * columns * Float32Array.BYTES_PER_ELEMENT);
      for (const piece of pieces) add(piece);
      check();
      return { kind: "float", type: "float32", rows, columns, place };
    },
  };
}

/** A place in the file that is filled from its beginning. */
interface Region {
  readonly place: Place;
  add(data: Uint8Array | Float32Array): void;
  /** Refuses to leave it half full. */
  check(): void;
}

interface Matrix {
  readonly values: Region;
  readonly scales: Region;
  readonly zeroPoints: Region | undefined;
  readonly offsets: Offsets | undefined;
  finish(): BlockWeight;
}

/** Offsets lie block by block: they are held until all rows are there. */
interface Offsets {
  add(offsets: Float32Array, row: number, rows: number): void;
  readonly all: Float32Array;
}

function openMatrix(region: (length: number) => Region, first: Blocks, rows: number): Matrix {
  const { bits, columns } = first;
  const whole = (part: Uint8Array | Float32Array) => part.byteLength / first.rows * rows;
  const values = region(whole(first.values));
  const scales = region(whole(first.scales));
  const zeroPoints = first.zeroPoints ? region(whole(first.zeroPoints)) : undefined;
  const offsets = first.offsets ? heldOffsets(rows, first.offsets.length / first.rows) : undefined;
  return {
    ...{ values, scales, zeroPoints, offsets },
    finish() {
      let held: Region | undefined;
      if (offsets) {
        held = region(offsets.all.byteLength);
        held.add(offsets.all);
      }
      for (const part of [values, scales, zeroPoints]) part?.check();
      return {
        ...{ kind: "blocks", bits, rows, columns },
        ...{ values: values.place, scales: scales.place },
        ...(zeroPoints ? { zeroPoints: zeroPoints.place } : {}),
        ...(held ? { offsets: held.place } : {}),
      };
    },
  };
}

function heldOffsets(rows: number, blocks: number): Offsets {
  const all = new Float32Array(rows * blocks);
  return {
    all,
    add(offsets, row, count) {
      for (let block = 0; block < blocks; block++) {
        all.set(offsets.subarray(block * count, (block + 1) * count), block * rows + row);
      }
    },
  };
}
