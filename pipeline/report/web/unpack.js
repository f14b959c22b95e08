// The document's text. A large one is in the file as gzip in base64: its figures take a third of the room.

const GZIP = "H4sI"; // the first bytes of RFC 1952 in base64

async function documentText() {
  const text = byId("document").textContent;
  if (!text.startsWith(GZIP)) return text;
  try {
    const packed = atob(text);
    const bytes = new Uint8Array(packed.length);
    for (let place = 0; place < packed.length; place++) bytes[place] = packed.charCodeAt(place);
    return await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  } catch (error) {
    document.body.prepend(element("p", { class: "banner error" }, `This browser cannot unpack the figures; a newer one can. (${error})`));
    throw error;
  }
}
