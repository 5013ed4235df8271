// A chunk of its own, fetched on demand.
export default function Panel() {
  return <p id="panel">panel of {process.env.BUILD}</p>;
}
