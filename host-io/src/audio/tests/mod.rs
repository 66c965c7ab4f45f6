mod feed;
mod player;
mod wav;
