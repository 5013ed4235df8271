// An API whose answer differs from build to build.
export const dynamic = "force-dynamic";

export const GET = () => new Response(process.env.BUILD);
