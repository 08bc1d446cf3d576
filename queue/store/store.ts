import * as v from "npm:valibot@1.5.0";
import { FILLED_TEXT } from "../../runtime/schema.ts";

/** A file in a store: its content is its name. */
export interface StoredFile {
  /** SHA-256, hexadecimal. */
  readonly sha256: string;
  readonly bytes: number;
}

/** Checks what names a file in a store. */
export const STORED_FILE = v.strictObject({
  sha256: v.pipe(FILLED_TEXT, v.regex(/^[0-9a-f]{64}$/, "64 hexadecimal digits")),
  bytes: v.pipe(v.number(), v.integer(), v.minValue(0)),
});

/** What several machines share: files by digest, each whole or not there. */
export interface Store {
  /** For messages. */
  readonly shown: string;
  /**
   * Puts bytes in; what is there already is left as it is.
   *
   * @throws {StorageError} If the store cannot be reached, or is full.
   */
  put(bytes: Uint8Array): Promise<StoredFile>;
  /** As {@linkcode Store.put}, for a file. */
  putFile(path: string): Promise<StoredFile>;
  /**
   * Reads a file that is small.
   *
   * @throws {StorageError} If it is not there, or holds something else than its name says.
   */
  read(file: StoredFile): Promise<Uint8Array>;
  /** As {@linkcode Store.read}, into a file that is there whole or not at all. */
  fetch(file: StoredFile, path: string): Promise<void>;
  /** Whether a file is there. */
  has(file: StoredFile): Promise<boolean>;
  /** Takes a file out; one that is not there already is no failure. */
  remove(file: StoredFile): Promise<void>;
  /**
   * A short text that has a name of its own, such as `documents/ID`; whoever set it last counts.
   *
   * @throws {StorageError} If the store cannot be reached.
   */
  label(name: string): Promise<string | undefined>;
  setLabel(name: string, text: string): Promise<void>;
  /** One that is not there already is no failure. */
  removeLabel(name: string): Promise<void>;
}

/** Where a file lies in a store: folders stay small. */
export function storedPath({ sha256 }: StoredFile): string {
  return `${sha256.slice(0, 2)}/${sha256}`;
}
