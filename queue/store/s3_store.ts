import { createReadStream } from "node:fs";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
} from "npm:@aws-sdk/client-s3@3.1175.0";
import { replaceAtomically } from "../../runtime/atomic_file.ts";
import { StorageError } from "../../runtime/errors.ts";
import { digestOf } from "../digest.ts";
import { checked, gathered, measureFile, writePieces } from "./checked.ts";
import { type Store, type StoredFile, storedPath } from "./store.ts";

/** Where a bucket is. */
export interface S3Place {
  readonly bucket: string;
  /** Ends with a slash, or is empty. */
  readonly prefix: string;
  /** Of a server that is not Amazon's; what the environment says if absent. */
  readonly endpoint?: string;
  readonly region?: string;
}

/**
 * A store in a bucket. Keys come from where Amazon's tools look for them: AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY, or ~/.aws/credentials.
 *
 * @throws {StorageError} If the bucket cannot be reached.
 */
export async function openS3Store(place: S3Place): Promise<Store & Disposable> {
  const { bucket: Bucket, prefix, endpoint = environment("AWS_ENDPOINT_URL") } = place;
  const client = new S3Client({
    region: place.region ?? environment("AWS_REGION") ?? "us-east-1",
    // Servers that are not Amazon's rarely have a name for each bucket, and not all know its checksums.
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
  const shown = `s3://${Bucket}/${prefix}`;
  const failed = (what: string) => (error: unknown): never => {
    throw new StorageError(`Cannot ${what} the store ${shown}: ${reasonOf(error)}`, {
      cause: error,
      options: ["store"],
    });
  };
  const keyOf = (file: StoredFile) => ({ Bucket, Key: `${prefix}${storedPath(file)}` });
  const labelKey = (name: string) => ({ Bucket, Key: `${prefix}names/${name}` });
  try {
    await client.send(new HeadBucketCommand({ Bucket })).catch(failed("use"));
  } catch (error) {
    client.destroy();
    throw error;
  }
  const has = async (file: StoredFile): Promise<boolean> => {
    try {
      const { ContentLength } = await client.send(new HeadObjectCommand(keyOf(file)));
      return ContentLength === file.bytes;
    } catch (error) {
      return isMissing(error) ? false : failed("read")(error);
    }
  };
  const placed = async (
    file: StoredFile,
    body: () => Uint8Array | ReturnType<typeof createReadStream>,
  ) => {
    if (await has(file)) return file;
    await client.send(
      new PutObjectCommand({ ...keyOf(file), Body: body(), ContentLength: file.bytes }),
    ).catch(failed("write into"));
    return file;
  };
  const pieces = async function* (file: StoredFile): AsyncGenerator<Uint8Array, void> {
    const { Body } = await client.send(new GetObjectCommand(keyOf(file))).catch(failed("read"));
    if (Body === undefined) return;
    try {
      yield* Body.transformToWebStream();
    } catch (error) {
      failed("read")(error);
    }
  };
  const content = (file: StoredFile) => checked(pieces(file), file, shown);
  return {
    shown,
    put: (bytes) => placed({ sha256: digestOf(bytes), bytes: bytes.length }, () => bytes),
    putFile: async (path) => await placed(await measureFile(path), () => createReadStream(path)),
    read: (file) => gathered(content(file)),
    fetch: (file, path) =>
      replaceAtomically(path, (temporary) => writePieces(temporary, content(file))),
    has,
    async remove(file) {
      await client.send(new DeleteObjectCommand(keyOf(file))).catch(failed("remove from"));
    },
    async label(name) {
      try {
        const { Body } = await client.send(new GetObjectCommand(labelKey(name)));
        return await Body?.transformToString();
      } catch (error) {
        return isMissing(error) ? undefined : failed("read")(error);
      }
    },
    async setLabel(name, text) {
      await client.send(new PutObjectCommand({ ...labelKey(name), Body: text }))
        .catch(failed("write into"));
    },
    async removeLabel(name) {
      await client.send(new DeleteObjectCommand(labelKey(name))).catch(failed("remove from"));
    },
    [Symbol.dispose]: () => client.destroy(),
  };
}

function environment(name: string): string | undefined {
  const value = Deno.env.get(name);
  return value === "" ? undefined : value;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "";
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null || !("$metadata" in error)) return undefined;
  const { $metadata: found } = error;
  if (typeof found !== "object" || found === null || !("httpStatusCode" in found)) return undefined;
  return typeof found.httpStatusCode === "number" ? found.httpStatusCode : undefined;
}

function isMissing(error: unknown): boolean {
  return ["NotFound", "NoSuchKey"].includes(nameOf(error)) || statusOf(error) === 404;
}

function reasonOf(error: unknown): string {
  const name = nameOf(error);
  const text = error instanceof Error ? error.message : String(error);
  if (name === "CredentialsProviderError") {
    return "it has no keys; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
  }
  if (statusOf(error) === 403) {
    return "it refuses these keys; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and their rights";
  }
  if (name === "NoSuchKey") {
    return "a file is not there; check that all machines have the same 'store'";
  }
  if (isMissing(error)) return "there is no such bucket; make it first";
  if (statusOf(error) === 507 || /StorageFull|InsufficientStorage/i.test(`${name} ${text}`)) {
    return "it is full; free space and try again";
  }
  if (/ECONNREFUSED|refused/i.test(text)) {
    return "nothing listens there; check AWS_ENDPOINT_URL, and whether the server runs";
  }
  if (/ENOTFOUND|getaddrinfo/i.test(text)) {
    return "there is no host of that name; check AWS_ENDPOINT_URL";
  }
  return text === "" || text === "UnknownError" ? `${name} ${statusOf(error) ?? ""}`.trim() : text;
}
