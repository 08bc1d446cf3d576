/** Runs a program and says whether it succeeded. */
function succeeds(command: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(command, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

/** Mounts a disk of so many bytes, where this user may. */
export function mountDisk(path: string, bytes: number, ...options: string[]): boolean {
  return Deno.build.os === "linux" &&
    succeeds("mount", "-t", "tmpfs", "-o", [`size=${bytes}`, ...options].join(), "tmpfs", path);
}

/** Takes a disk away. */
export function unmount(path: string): boolean {
  return succeeds("umount", path);
}

/** Whether this user may mount disks. */
export function mayMount(): boolean {
  const path = Deno.makeTempDirSync();
  const mounted = mountDisk(path, 65_536) && unmount(path);
  Deno.removeSync(path);
  return mounted;
}
