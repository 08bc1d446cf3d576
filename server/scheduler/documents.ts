import type { KeptToken } from "./explain.ts";
import type { EvictionSettings } from "./request.ts";

/** Documents that were read and compressed once, on disk where there is a folder for them. */
export interface DocumentStore {
  /**
   * Reads and compresses a document. The same one, read the same way, is found and not read again.
   * A disk that is full leaves nothing behind.
   *
   * @throws As `Scheduler.submit`, and `StorageError` if it cannot be kept.
   */
  create(request: DocumentRequest): Promise<DocumentInfo>;
  /** All, the newest first. */
  list(): readonly DocumentInfo[];
  /** @throws {UnknownDocumentError} If there is none. */
  get(id: string): DocumentInfo;
  /**
   * Its tokens, each with the share of layers and KV heads that kept it; none where that is not known.
   *
   * @throws {UnknownDocumentError} If there is none.
   */
  tokens(id: string): Promise<readonly KeptToken[]>;
  /**
   * Forgets it; requests that use it end as they would.
   *
   * @throws {UnknownDocumentError} If there is none.
   */
  remove(id: string): Promise<void>;
}

/** A document to be read. */
export interface DocumentRequest {
  readonly model?: string;
  readonly name?: string;
  readonly text: string;
  /**
   * `chat`: the text becomes the beginning of the first user's message. `text`: of a text without a
   * template. @default {"chat"}
   */
  readonly form?: "chat" | "text";
  /** A system message in front of it. */
  readonly system?: string;
  readonly eviction?: EvictionSettings | false;
  readonly onProgress?: (done: number, total: number) => void;
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

/** A document that was read. */
export interface DocumentInfo {
  /** `doc-` and the beginning of a digest of model, text, policy and budget. */
  readonly id: string;
  readonly name?: string;
  readonly model: string;
  readonly form: "chat" | "text";
  /** Unix time in seconds. */
  readonly created: number;
  readonly lastUsed: number;
  /** Tokens of the text. */
  readonly tokens: number;
  readonly policy: string;
  /** Tokens kept, mean over layers and KV heads. */
  readonly kept: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Whether it lies on disk and outlives the server. */
  readonly stored: boolean;
}
