import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { queueAddress, type QueueSecrets } from "../../queue/address.ts";
import { checkQueue } from "../../queue/connection.ts";
import { QueueError } from "../../queue/errors.ts";
import { callCli } from "../commands/_call_cli.ts";
import { testFolder } from "../commands/_run_cli.ts";
import { running } from "./_fleet.ts";
import { freePort, startQueueServer, withoutServer } from "./_queue_server.ts";

const refused = (url: string, said: string, secrets: QueueSecrets = {}) =>
  assertRejects(() => checkQueue(queueAddress(url, secrets)), QueueError, said);

Deno.test("a queue that is not there is told in one sentence", async () => {
  await refused(`redis://127.0.0.1:${freePort()}`, "nothing listens there");
  await refused("redis://no-such-host.invalid", "there is no host of that name");
});

Deno.test("a server that is no queue is told from one", async () => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response(),
  );
  await refused(`redis://127.0.0.1:${server.addr.port}`, "check host and port");
});

Deno.test({
  name: "passwords come from a file or a variable, and never stand in the list of processes",
  ...withoutServer,
  async fn() {
    using folder = testFolder();
    await using server = await startQueueServer(["--requirepass", "s3cret"]);
    await refused(server.url, "it wants a password");
    await refused(server.url, "it refuses the password", { password: "wrong" });
    await checkQueue(queueAddress(server.url, { password: "s3cret" }));
    const file = `${folder.path}/password`;
    await Deno.writeTextFile(file, "s3cret\n");
    const status = ["queue", "status", "--queue", server.url];
    const [byFile, byVariable, none] = await Promise.all([
      callCli([...status, "--queue-password-file", file]),
      callCli([...status, "--json"], { env: { KVJUDGE_QUEUE_PASSWORD: "s3cret" } }),
      callCli(status),
    ]);
    assertEquals([byFile.code, byFile.out], [0, "no runs\nno workers\n"]);
    assertEquals([byVariable.code, JSON.parse(byVariable.out)], [0, { runs: [], workers: [] }]);
    assertEquals([none.code, none.err.split("\n").length], [2, 2]);
    assertStringIncludes(none.err, `error: Cannot reach the queue at ${server.url}: it wants`);
    await using worker = running(
      ["worker", "--queue", server.url, "--queue-password-file", file, "--metrics-port", "0"],
      { KVJUDGE_HOME: folder.path },
    );
    await worker.saying("waiting for work");
    const listed = await Deno.readTextFile(`/proc/${worker.pid}/cmdline`).catch(() => "worker");
    assertStringIncludes(listed, "worker");
    assert(!listed.includes("s3cret"));
    const [, place = ""] = /metrics on (\S+)/.exec(worker.said) ?? [];
    const metrics = await (await fetch(place)).text();
    assertStringIncludes(metrics, "kvjudge_queue_up 1");
    assertStringIncludes(metrics, "kvjudge_worker_jobs_done_total 0");
  },
});

Deno.test({
  name: "a server that may forget jobs is refused",
  ...withoutServer,
  async fn() {
    await using server = await startQueueServer(
      ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"],
    );
    await refused(server.url, "set maxmemory-policy noeviction");
  },
});

const certificates = {
  ignore: withoutServer.ignore ||
    !await new Deno.Command("openssl", { args: ["version"], stdout: "null", stderr: "null" })
      .output().then(({ success }) => success, () => false),
};

Deno.test({
  name: "rediss:// is encrypted, and trusts the authority that it is given alone",
  ...certificates,
  async fn() {
    using folder = testFolder();
    const { path } = folder;
    const [key, certificate] = [`${path}/key.pem`, `${path}/certificate.pem`];
    const made = await new Deno.Command("openssl", {
      args: [
        ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
        ...["-days", "2", "-subj", "/CN=queue"],
        ...["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key],
        ...["-out", certificate],
      ],
      stderr: "null",
    }).output();
    assert(made.success);
    const port = freePort();
    await using server = await startQueueServer([
      ...["--tls-port", `${port}`, "--tls-cert-file", certificate, "--tls-key-file", key],
      ...["--tls-auth-clients", "no", "--tls-ca-cert-file", certificate],
    ]);
    const url = `rediss://localhost:${port}`;
    await checkQueue(queueAddress(url, { authority: await Deno.readTextFile(certificate) }));
    await refused(url, "its certificate is not trusted");
    await refused(server.url.replace("redis:", "rediss:"), "check host and port");
    const { code, out } = await callCli([
      "queue",
      "status",
      "--queue",
      url,
      "--queue-ca",
      certificate,
    ]);
    assertEquals([code, out], [0, "no runs\nno workers\n"]);
  },
});
