// Microphone -> server -> results, until it is stopped from either side.
import { draw } from "./draw.js";

const LATE = 5_000_000; // bytes that the network may owe us before we give up

export async function listen(token, wake, on) {
  const media = { audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true } };
  if (!navigator.mediaDevices) throw new Error("A browser gives the microphone to pages of localhost or https only.");
  const microphone = await navigator.mediaDevices.getUserMedia(media);
  const context = new AudioContext();
  const close = () => {
    drawing.stop();
    microphone.getTracks().forEach((track) => track.stop());
    if (context.state !== "closed") context.close();
  };
  const source = context.createMediaStreamSource(microphone);
  const drawing = draw(context, source, wake);
  try {
    context.resume(); // phones begin with it paused
    await context.audioWorklet.addModule("/page/worklet.js");
  } catch (error) {
    close();
    throw error;
  }
  const socket = new WebSocket(location.href.replace(/^http/, "ws").replace(/[#?].*$/, "") + "v1/listen", protocols(token));
  socket.onopen = () => {
    const format = { encoding: "s16le", rate: context.sampleRate, channels: 1 };
    socket.send(JSON.stringify({ type: "start", ...format, wake: wake.map(({ name }) => name), scores: wake.length > 0 }));
    const sender = new AudioWorkletNode(context, "sender", { numberOfOutputs: 0 });
    sender.port.onmessage = (event) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(event.data);
      if (socket.bufferedAmount > LATE) socket.close();
    };
    source.connect(sender);
    on.open();
  };
  socket.onmessage = (event) => {
    const result = JSON.parse(event.data);
    if (result.kind === "scores") drawing.scores(result);
    on.result(result);
  };
  socket.onclose = (event) => {
    close();
    on.close(event);
  };
  return () => {
    microphone.getTracks().forEach((track) => track.stop());
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "end" }));
    else socket.close();
  };
}

function protocols(token) {
  return token ? ["asr", `bearer.${token}`] : ["asr"];
}
