import { fileURLToPath } from "node:url";
import { StorageError } from "../../runtime/errors.ts";
import type { Store } from "./store.ts";

const FORM = "give file:///FOLDER, or s3://BUCKET/PREFIX with the server in AWS_ENDPOINT_URL";

/**
 * Opens a store: a folder that all machines see, or a bucket.
 *
 * @throws {StorageError} If the address is not written so, or the store cannot be reached.
 */
export async function openStore(address: string): Promise<Store & Disposable> {
  const refuse = (problem: string) =>
    new StorageError(`Cannot use '${address}' as 'store': ${problem}; ${FORM}`, {
      options: ["store"],
    });
  if (!URL.canParse(address)) throw refuse("it is no URL");
  const url = new URL(address);
  if (url.password !== "" || url.username !== "") {
    throw new StorageError(
      "Cannot use the address of a store that holds keys, which the list of processes shows; set " +
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
      { options: ["store"] },
    );
  }
  if (url.protocol === "file:") {
    if (url.hostname !== "") throw refuse("it names a host");
    const { openFileStore } = await import("./file_store.ts");
    return { ...await openFileStore(fileURLToPath(url)), [Symbol.dispose]: () => {} };
  }
  if (url.protocol !== "s3:" || url.hostname === "") throw refuse("it is neither");
  const { openS3Store } = await import("./s3_store.ts");
  const folder = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, "");
  return await openS3Store({ bucket: url.hostname, prefix: folder === "" ? "" : `${folder}/` });
}
