// Publish and subscribe with Socket.IO, for `cargo xtask bench compare`: rooms are channels.
//
// A client emits `subscribe` (channel) and `publish` (channel, data), both acknowledged when asked
// to; subscribers get `message` (data). Listens on 127.0.0.1 at the port that it is given.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const server = createServer();
const io = new Server(server, { transports: ['websocket'], serveClient: false });

io.on('connection', (socket) => {
  socket.on('subscribe', (channel, acknowledge) => {
    socket.join(channel);
    acknowledge?.();
  });
  socket.on('publish', (channel, data, acknowledge) => {
    io.to(channel).emit('message', data);
    acknowledge?.();
  });
});

server.listen(Number(process.argv[2]), '127.0.0.1');
