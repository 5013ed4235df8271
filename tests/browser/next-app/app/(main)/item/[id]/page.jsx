import { Item } from "./item";

export const dynamic = "force-dynamic";

export default async function Page({ params }) {
  return <Item id={(await params).id} server={process.env.BUILD} />;
}
