# One image for nodes, gateways and workers; what it is says the command: start, worker, …
FROM node:20-bookworm-slim AS build
WORKDIR /troupe
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY build build
COPY src src
COPY machines machines
RUN npm run build && npm prune --omit=dev

FROM node:20-bookworm-slim
ENV NODE_ENV=production
WORKDIR /troupe
COPY --from=build /troupe/node_modules node_modules
COPY --from=build /troupe/dist dist
COPY package.json ./
COPY config config
RUN ln -s /troupe/dist/src/main.js /usr/local/bin/troupe && mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 9800
# Its own signals reach the node only while nothing stands between.
ENTRYPOINT ["node", "--max-semi-space-size=64", "/troupe/dist/src/main.js"]
CMD ["start", "--data", "/data"]
