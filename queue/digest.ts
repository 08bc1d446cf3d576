import { createHash } from "node:crypto";

/** SHA-256 of a text or of bytes, as hexadecimal digits. */
export function digestOf(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** The name of something by its content, short enough for people to tell apart. */
export function contentName(content: object): string {
  return digestOf(JSON.stringify(content)).slice(0, 32);
}
