import { assert, assertEquals } from "@std/assert";
import { FetchError } from "../../../runtime/errors.ts";
import { storageError } from "../../../runtime/models/storage_error.ts";

const withCode = (code: string) => Object.assign(new Error(code), { code });

Deno.test("storageError() says what to do when the disk is full or read-only", () => {
  const full = storageError(withCode("ENOSPC"), "/m/file");
  assert(full instanceof FetchError);
  assertEquals(
    full.message,
    "Cannot store /m/file: the disk is full; free space and run again to go on where it stopped, " +
      "or set KVJUDGE_HOME to another folder",
  );
  for (const code of ["EDQUOT", "EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST"]) {
    assert(storageError(withCode(code), "/m/file") instanceof FetchError, code);
  }
});

Deno.test("storageError() names a missing permission of Deno", () => {
  const error = storageError(new Deno.errors.NotCapable("Requires write access"), "/m/file");
  assert(error instanceof FetchError && error.message.includes("Requires write access"));
});

Deno.test("storageError() leaves other errors as they are", () => {
  const error = withCode("EIO");
  assertEquals(storageError(error, "/m/file"), error);
});
