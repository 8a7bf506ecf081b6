// What a program can ask of the owner of an image (src/rpc/owner.capnp), one after the other:
//
//   node tour.mjs unix:PATH FIRST SECOND TEXT
//
// writes TEXT to the blobs FIRST and SECOND, both or none.
import { connectToOwner } from "./owner_connection.mjs";
import { Blobs, Owner } from "./schema/owner.js";

/** A call that was carried out, and has failed. */
class OwnerFailure extends Error {
  constructor(failure) {
    super(failure.cause);
    this.kind = failure.kind; // The exit code that `vnvram` has for it.
    this.remedy = failure.remedy;
  }
}

/** What was asked for. */
async function answered(call) {
  const answer = await call.promise();
  if (answer._hasFailure()) {
    throw new OwnerFailure(answer.failure);
  }
  return answer;
}

async function list(blobs) {
  return [...(await answered(blobs.list())).blobs].map((info) => ({
    name: info.spec.name,
    type: info.spec.type,
    size: info.sizeBytes,
    sizeMax: info.spec.sizeMaxBytes,
    generation: info.generation,
  }));
}

/** All of them as they are at one moment. */
async function read(blobs, names) {
  const answer = await answered(
    blobs.read((asked) => {
      const ranges = asked._initRanges(names.length);
      names.forEach((name, index) => {
        ranges.get(index).blob = name;
        ranges.get(index).whole = true;
      });
    }),
  );
  return [...answer.contents].map((content) => Buffer.from(content.toArrayBuffer()));
}

/** Durable when it is answered: all of them or, on a failure, none. */
async function write(blobs, contents) {
  const answer = await answered(
    blobs.change((asked) => {
      const updates = asked._initUpdates(Object.keys(contents).length);
      Object.entries(contents).forEach(([name, bytes], index) => {
        updates.get(index).blob = name;
        updates.get(index)._initWrite(bytes.length).copyBuffer(bytes);
      });
    }),
  );
  return answer.generation;
}

/** The same with fewer rights. */
async function narrow(blobs, grants) {
  const answer = await answered(
    blobs.narrow((asked) => {
      const list = asked._initGrants(grants.length);
      grants.forEach((grant, index) => Object.assign(list.get(index), grant));
    }),
  );
  return answer.blobs;
}

/** Prints why the owner does not do it. */
async function mustFail(what, call) {
  try {
    await call();
  } catch (error) {
    if (error instanceof OwnerFailure) {
      console.log(`${what}: refused, kind ${error.kind}: ${error.message}`);
      console.log(`  remedy: ${error.remedy || "none"}`);
    } else {
      console.log(`${what}: not understood: ${error.message.trim()}`);
    }
    return;
  }
  throw new Error(`${what}: was done, and should not have been`);
}

function print(blobs) {
  for (const blob of blobs) {
    console.log(
      `  ${blob.name}: ${blob.type}, ${blob.size} of ${blob.sizeMax} bytes, generation ${blob.generation}`,
    );
  }
}

async function tour(connection, first, second, text) {
  const blobs = connection.bootstrap(Blobs);
  const { state } = await answered(blobs.state());
  console.log(`generation ${state.generation}, ${state.sealed ? "sealed" : "not sealed"}, ` +
    `${state.spaceFreeBytes} bytes free`);
  console.log("blobs:");
  print(await list(blobs));
  const [before] = await read(blobs, [first]);
  console.log(`${first} holds ${JSON.stringify(before.toString())}`);

  const bytes = Buffer.from(text);
  const generation = await write(blobs, { [first]: bytes, [second]: bytes });
  console.log(`${first} and ${second} are written, durable as generation ${generation}`);
  const together = (await read(blobs, [first, second])).map(String);
  console.log(`they hold ${JSON.stringify(together)}`);

  const largest = (await list(blobs)).find((blob) => blob.name === second).sizeMax;
  await mustFail(`${second} with a byte too many, and ${first} with it`, () =>
    write(blobs, { [first]: Buffer.from("lost"), [second]: Buffer.alloc(Number(largest) + 1) }));
  console.log(`${first} holds ${JSON.stringify((await read(blobs, [first])).toString())}`);

  // What a program gets that shall read one blob and do nothing else.
  const reader = await narrow(blobs, [{ blob: first }]);
  console.log(`who may read ${first} alone sees:`);
  print(await list(reader));
  console.log(`${first} holds ${JSON.stringify((await read(reader, [first])).toString())}`);
  await mustFail(`writing ${first}`, () => write(reader, { [first]: bytes }));
  await mustFail(`reading ${second}`, () => read(reader, [second]));
  await mustFail(`more rights`, async () =>
    read(await narrow(reader, [{ prefix: "", write: true, register: true }]), [second]));
  await mustFail(`an operator's call`, () => answered(new Owner.Client(reader.client).status()));
}

const [address, first, second, text, ...more] = process.argv.slice(2);
if (text === undefined || more.length > 0) {
  console.error("usage: node tour.mjs unix:PATH FIRST SECOND TEXT");
  process.exit(2);
}
try {
  const connection = await connectToOwner(address, (error) => {
    console.error(`tour: ${address}: ${error.message}`);
    process.exit(1);
  });
  await tour(connection, first, second, text);
  connection.shutdown();
} catch (error) {
  console.error(`tour: ${error.message}`);
  process.exit(1);
}
