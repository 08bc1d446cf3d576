import { HeadBucketCommand, PutObjectCommand, S3Client } from "npm:@aws-sdk/client-s3@3.1175.0";
import { freePort } from "./_queue_server.ts";

/** Whether SeaweedFS is installed, a store that speaks as Amazon's does. */
export const HAS_S3 = (() => {
  try {
    return new Deno.Command("weed", { args: ["version"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
})();

/** A real store that checks signatures. */
export interface S3Server extends AsyncDisposable {
  /** What its clients need in their environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** Starts a store with a bucket. */
export async function startS3Server(bucket: string): Promise<S3Server> {
  const folder = await Deno.makeTempDir({ prefix: "kvjudge-store-" });
  const port = freePort();
  const keys = { AWS_ACCESS_KEY_ID: "kvjudge", AWS_SECRET_ACCESS_KEY: "a long secret" };
  const ports = ["master", "volume", "filer"].flatMap((part) => [
    `-${part}.port=${freePort()}`,
    `-${part}.port.grpc=${freePort()}`,
  ]);
  const child = new Deno.Command("weed", {
    args: [
      ...["mini", `-dir=${folder}`, "-ip=127.0.0.1", "-ip.bind=127.0.0.1", `-bucket=${bucket}`],
      ...[`-s3.port=${port}`, `-s3.port.grpc=${freePort()}`, ...ports],
      ...["-admin.ui=false", "-webdav=false", `-admin.port=${freePort()}`],
      ...[`-s3.port.iceberg=${freePort()}`, `-admin.port.grpc=${freePort()}`],
    ],
    env: keys,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const stop = async () => {
    child.kill("SIGKILL");
    await child.status;
    await Deno.remove(folder, { recursive: true });
  };
  const endpoint = `http://127.0.0.1:${port}`;
  const client = new S3Client({
    ...{ endpoint, region: "us-east-1", forcePathStyle: true, maxAttempts: 1 },
    credentials: {
      accessKeyId: keys.AWS_ACCESS_KEY_ID,
      secretAccessKey: keys.AWS_SECRET_ACCESS_KEY,
    },
  });
  try {
    for (let tries = 0; tries < 300; tries++) {
      try {
        await client.send(new HeadBucketCommand({ Bucket: bucket }));
        await client.send(new PutObjectCommand({ Bucket: bucket, Key: "ready", Body: "ready" }));
        return { env: { ...keys, AWS_ENDPOINT_URL: endpoint }, [Symbol.asyncDispose]: stop };
      } catch {
        // It is starting.
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  } finally {
    client.destroy();
  }
  await stop();
  throw new Error("the store did not start");
}
