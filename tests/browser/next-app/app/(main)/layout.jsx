import { Tools } from "./tools";

export default function Layout({ children }) {
  return (
    <main>
      <p>
        Build <b id="build">{process.env.BUILD}</b>
      </p>
      <Tools />
      {children}
    </main>
  );
}
