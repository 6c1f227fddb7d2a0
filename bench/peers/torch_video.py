"""The paper's pipeline on a video in Python: the peer of `sandglass infer VIDEO --csv`.

usage: python3 bench/peers/torch_video.py VIDEO --landmark-model FILE.dat [--width W] [--input-size S] [--upsample N]
       [--threads T] [--frames K]
OpenCV reads the frames, dlib finds the faces in each and places 68 landmarks, OpenCV registers them, PyTorch runs the
network (frozen and optimised for inference, which is its fastest way on a CPU without compilation), and a CSV of the
intensities goes to standard output, a row per face. The weights are random, which costs the same time. --upsample 1 is
dlib's search of the frame at twice its size; with 0 it finds faces from 80 pixels on. Needs torch, dlib (dlib-bin),
opencv-python-headless and numpy. bench/video_speed.py runs it beside Sandglass.
"""
import argparse
import pathlib
import sys

import cv2
import dlib
import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from torch_hourglass import HeatmapNet, registered_places  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("video")
    parser.add_argument("--landmark-model", default="/usr/share/dlib/shape_predictor_68_face_landmarks.dat")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--input-size", type=int, default=256)
    parser.add_argument("--upsample", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=0, help="read so many frames only; 0: all")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)

    detector, predictor = dlib.get_frontal_face_detector(), dlib.shape_predictor(options.landmark_model)
    side = options.input_size
    example = torch.rand(1, 3, side, side)
    net = torch.jit.trace(HeatmapNet(width=options.width).eval(), example)
    net = torch.jit.optimize_for_inference(torch.jit.freeze(net))
    places = np.array(registered_places(side), np.float32)
    video = cv2.VideoCapture(options.video)
    frames = 0
    with torch.inference_mode():
        while True:
            good, frame = video.read()
            if not good or frames == options.frames > 0:
                break
            rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            for box in detector(rgb, options.upsample):
                shape = predictor(rgb, box)
                corners = np.array([[shape.part(i).x, shape.part(i).y] for i in (8, 36, 45)], np.float32)
                face = cv2.warpAffine(rgb, cv2.getAffineTransform(corners, places), (side, side))
                maps = net(torch.from_numpy(face).permute(2, 0, 1)[None].float() / 255)
                intensities = maps.amax(dim=(2, 3)).clamp(0, 5)[0]
                print(frames + 1, *(f"{value:.2f}" for value in intensities.tolist()), sep=",", flush=True)
            frames += 1


if __name__ == "__main__":
    main()
