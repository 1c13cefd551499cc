// Reads a published copy with one version of DuckDB's client for Node, and prints it as JSON.
// node read.js PACKAGE DATABASE QUERY...
const [name, database, ...queries] = process.argv.slice(2);
const { DuckDBInstance } = require(name);

async function main() {
  const instance = await DuckDBInstance.create(database, { access_mode: "READ_ONLY" });
  const connection = await instance.connect();
  const answers = [];
  for (const query of queries) {
    const reader = await connection.runAndReadAll(query);
    answers.push(reader.getRows().map((row) => row.map(String)));
  }
  console.log(JSON.stringify(answers));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
